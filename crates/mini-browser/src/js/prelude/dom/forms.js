// What FormData asks of forms.

import { errorOf } from "../webidl.js";
import { entryList, formOf, isSubmitButton } from "./form_submission.js";
import { isHtml, ownOf } from "./nodes.js";
import { recordIfNode } from "./node.js";

export function isForm(value) {
  const record = recordIfNode(value);
  return record !== null && isHtml(record, "form");
}

// new FormData(form, submitter), steps 1.1 to 1.3: pairs of a name and a value.
export function constructEntryList(value, submitter) {
  const form = recordIfNode(value);
  const button = submitter === null ? null : recordIfNode(submitter);
  if (submitter !== null) {
    if (button === null || !isSubmitButton(button)) throw new TypeError("FormData: the submitter is not a submit button");
    if (formOf(button) !== form) throw errorOf("NotFoundError", "The submitter is another form's");
  }
  // Constructing the entry list, step 1.
  const own = ownOf(form);
  if (own.isConstructing) throw errorOf("InvalidStateError", "The form's entry list is being constructed");
  return entryList(form, button);
}
