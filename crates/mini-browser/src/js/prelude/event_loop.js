// Tasks. (HTML, "event loops".)

import { op_queue_task } from "ops";

// Queues a task in this realm. `source` is "dom", "user-interaction", "networking", "navigation",
// "timer", "posted-message", "file-reading" or "service-worker". Tasks run in the order in which they
// were queued, whichever their source, each followed by a microtask checkpoint; none runs once the
// realm has ended. What `task` throws is reported. "document" is "dom" for the end of a document, which
// goes before the posted messages that wait.
export function queueTask(source, task) { op_queue_task(source, task); }
