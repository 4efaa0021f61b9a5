// A plane that can be dragged and zoomed; it fits its content until somebody moves it.

import type { ComponentChildren, JSX } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

interface View {
  x: number;
  y: number;
  scale: number;
}

const SMALLEST = 0.15;
const LARGEST = 2;
const STEP = 1.25;
const PAN_PX = 60;

export function Viewport(props: {
  width: number;
  height: number;
  label: string;
  legend?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const moved = useRef(false);
  const drag = useRef<{ x: number; y: number; id: number } | null>(null);
  const [view, setView] = useState<View>({ x: 0, y: 0, scale: 1 });
  const { width, height } = props;

  const fit = useCallback(() => {
    const shown = box.current;
    if (shown === null || shown.clientWidth === 0) return;
    const scale = Math.min(1, shown.clientWidth / width, shown.clientHeight / height);
    moved.current = false;
    setView({
      scale: Math.max(SMALLEST, scale),
      x: Math.max(0, (shown.clientWidth - width * scale) / 2),
      y: Math.max(0, (shown.clientHeight - height * scale) / 2),
    });
  }, [width, height]);

  useLayoutEffect(fit, [fit]);
  useEffect(() => {
    const shown = box.current;
    if (shown === null) return undefined;
    const watcher = new ResizeObserver(() => {
      if (!moved.current) fit();
    });
    watcher.observe(shown);
    return () => watcher.disconnect();
  }, [fit]);

  const zoom = useCallback((factor: number, atX?: number, atY?: number) => {
    const shown = box.current;
    if (shown === null) return;
    moved.current = true;
    const x = atX ?? shown.clientWidth / 2;
    const y = atY ?? shown.clientHeight / 2;
    setView((old) => {
      const scale = Math.min(LARGEST, Math.max(SMALLEST, old.scale * factor));
      const ratio = scale / old.scale;
      return { scale, x: x - (x - old.x) * ratio, y: y - (y - old.y) * ratio };
    });
  }, []);

  useEffect(() => {
    const shown = box.current;
    if (shown === null) return undefined;
    const wheel = (event: WheelEvent): void => {
      // The page keeps its own scrolling: the wheel zooms with Ctrl, which is also what a pinch sends.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const at = shown.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 300), event.clientX - at.left, event.clientY - at.top);
    };
    shown.addEventListener("wheel", wheel, { passive: false });
    return () => shown.removeEventListener("wheel", wheel);
  }, [zoom]);

  const pan = (x: number, y: number): void => {
    moved.current = true;
    setView((old) => ({ ...old, x: old.x + x, y: old.y + y }));
  };

  const key = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget) return;
    const done = ((): boolean => {
      switch (event.key) {
        case "+":
        case "=":
          zoom(STEP);
          return true;
        case "-":
          zoom(1 / STEP);
          return true;
        case "0":
          fit();
          return true;
        case "ArrowLeft":
          pan(PAN_PX, 0);
          return true;
        case "ArrowRight":
          pan(-PAN_PX, 0);
          return true;
        case "ArrowUp":
          pan(0, PAN_PX);
          return true;
        case "ArrowDown":
          pan(0, -PAN_PX);
          return true;
        default:
          return false;
      }
    })();
    if (done) event.preventDefault();
  };

  return (
    <div class="viewport-frame">
      <div
        ref={box}
        class="viewport"
        role="group"
        aria-label={props.label}
        tabIndex={0}
        onKeyDown={key}
        onPointerDown={(event) => {
          if (event.button !== 0 || (event.target as Element).closest("a, button") !== null) return;
          drag.current = { x: event.clientX, y: event.clientY, id: event.pointerId };
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => {
          const from = drag.current;
          if (from === null || from.id !== event.pointerId) return;
          pan(event.clientX - from.x, event.clientY - from.y);
          drag.current = { x: event.clientX, y: event.clientY, id: from.id };
        }}
        onPointerUp={() => (drag.current = null)}
        onPointerCancel={() => (drag.current = null)}
      >
        <div
          class="viewport-plane"
          style={{
            width: `${width}px`,
            height: `${height}px`,
            transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})`,
          }}
        >
          {props.children}
        </div>
      </div>
      <div class="viewport-tools">
        {props.legend}
        <span class="viewport-buttons">
          <button type="button" class="button ghost" aria-label="Zoom out" title="Zoom out (-)" onClick={() => zoom(1 / STEP)}>
            −
          </button>
          <span class="num muted">{Math.round(view.scale * 100)} %</span>
          <button type="button" class="button ghost" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoom(STEP)}>
            +
          </button>
          <button type="button" class="button ghost" title="Show everything (0)" onClick={fit}>
            Fit
          </button>
        </span>
      </div>
    </div>
  );
}
