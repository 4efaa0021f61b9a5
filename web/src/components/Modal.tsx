import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { Icon } from "./Icon";

/** A dialogue in front of the page; Escape and the cross close it, focus goes back to where it was. */
export function Modal(props: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`modal ${props.wide ? "modal-wide" : ""}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
    >
      <header class="modal-head">
        <h2 id={heading}>{props.title}</h2>
        <button type="button" class="button ghost" aria-label="Close" onClick={props.onClose}>
          <Icon name="cross" />
        </button>
      </header>
      <div class="modal-body">{props.children}</div>
    </dialog>
  );
}
