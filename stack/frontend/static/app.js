import * as chat from "./chat.js";
import * as services from "./services.js";
import * as theme from "./theme.js";

theme.start();
chat.start();
services.start();
