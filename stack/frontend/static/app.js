import * as chat from "./chat.js";
import * as confirm from "./confirm.js";
import * as services from "./services.js";
import * as signin from "./signin.js";
import * as theme from "./theme.js";

theme.start();
services.start();
confirm.start();
chat.start();
signin.start();
