// The console's script. Everything works without it; with it, pages keep themselves fresh, keys work, times count down,
// and it is measured how long somebody looked and what they have had in view.

import { announce, times } from "./clock.js";
import { keepFresh } from "./fresh.js";
import { guardForms } from "./forms.js";
import { listenForKeys } from "./keys.js";
import { watchReading } from "./reading.js";

times();
announce();
watchReading();
guardForms();
listenForKeys();
keepFresh();
document.addEventListener("focusin", (event) => { if (event.target.classList?.contains("copy")) event.target.select(); });
