// What elements other than scripts load: images, style sheets and the like. (HTML.) Nothing is painted:
// of what comes only whether it is what it should be counts.

import "./resource_images.js";
import "./resource_links.js";
import "./resource_media.js";
import "./resource_tracks.js";
import "./resource_embedded.js";
import "./hyperlinks.js";
import "./form_submission.js";
import "./refresh.js";
