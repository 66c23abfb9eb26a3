// What elements other than scripts load: images, style sheets and the like. (HTML.) Nothing is painted:
// of what comes only whether it is what it should be counts.

import { recordSteps } from "./steps.js";
