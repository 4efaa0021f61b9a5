import { render } from "preact";

import { App } from "./App";
import { showTheme } from "./store";

showTheme();
const root = document.getElementById("app");
if (!root) throw new Error("the page has no #app");
root.replaceChildren();
render(<App />, root);
