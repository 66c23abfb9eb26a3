// The document of the window.

import { op_load, op_parser_open, op_set_base_url, op_url_parse } from "ops";
import { setParentOf, setForeignListeners } from "../events.js";
import { HOST, load } from "../webidl.js";
import { nameChanged, setNamedElement } from "../window_scope.js";
import { home } from "./home.js";
import { alreadyLoaded, delayLoad } from "./loading.js";
import { append } from "./mutation.js";
import { DOCUMENT, attribute, elementsBelow, firstElement, isConnected, isHtml, newDocument, newElement, root, wrap } from "./nodes.js";
import { recordIfNode } from "./node.js";
import { DocumentParser } from "./parser.js";
import { attributeSteps, elementSteps, recordSteps, setNameChanged } from "./steps.js";
import "./event_handlers.js";
import "./resources.js";
import "./scripts.js";
