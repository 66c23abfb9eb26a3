// What FormData asks of a document.

import { errorOf } from "../webidl.js";
import { entryList, formOf, isSubmitButton } from "./form_submission.js";
import { HTMLElement } from "./html_element.js";
import { HTMLFormElement } from "./html_forms.js";
import { recordOf } from "./node.js";

// Whether a value is an HTMLFormElement of this realm.
export const isForm = (value) => value instanceof HTMLFormElement;

// FormData's constructor, steps 1.1 and 1.2: the entries of a form, as its submitter sends it.
export function constructEntryList(form, submitter) {
  if (submitter === null) return entryList(recordOf(form));
  if (!(submitter instanceof HTMLElement)) throw new TypeError("FormData: the submitter is not an element");
  const button = recordOf(submitter);
  if (!isSubmitButton(button)) throw new TypeError("FormData: the submitter is not a submit button");
  if (formOf(button) !== recordOf(form)) throw errorOf("NotFoundError", "FormData: the submitter is not one of the form");
  return entryList(recordOf(form), button);
}
