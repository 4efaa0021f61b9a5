import type { JSX } from "preact";

import { Copy } from "./Values";

/** Text to read and to copy: a traceback, a command, a configuration. */
export function CodeBlock(props: { text: string; label: string; wrap?: boolean; maxHeight?: number }): JSX.Element {
  return (
    <div class="codeblock">
      <pre
        tabIndex={0}
        role="group"
        aria-label={props.label}
        class={props.wrap ? "wrap" : ""}
        style={props.maxHeight ? { maxHeight: `${props.maxHeight}px` } : {}}
      >
        {props.text}
      </pre>
      <Copy text={props.text} label={`Copy ${props.label}`} />
    </div>
  );
}
