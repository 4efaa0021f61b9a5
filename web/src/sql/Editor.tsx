// CodeMirror in a shadow root: there its styles are adopted sheets, which a strict content policy allows.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { type SQLNamespace, SQLDialect, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { JSX } from "preact";
import { useEffect, useImperativeHandle, useRef } from "preact/hooks";
import type { Ref } from "preact";

const KEYWORDS = `add after all alter always analyze and any as asc asymmetric at authorization before begin between both by \
cache cascade case cast catalog catalogs changelog_mode check collate column columns comment compact compute constraint \
corresponding create cross cube current current_date current_time current_timestamp cursor database databases day default \
delete desc describe descriptor distinct distribution drop else emit end enforced escape estimated_cost except execute \
exists explain extended extract false fetch filter first following for foreign from full function functions generated \
global grant group grouping having hop hour if ignore in include inner insert intersect interval into is jar jars job jobs \
join json_execution_plan key last lateral leading left like limit load local localtime localtimestamp match_recognize \
materialized measures merge metadata minute model models modify module modules month natural next not null nulls of offset \
on only options or order ordinality outer over overlaps overwrite partition partitioned partitions pattern per period \
persisted physical plan position preceding primary procedures proctime qualify range references rename reset respect \
restrict right rollup row rows rowtime savepoint second select session set sets show similar size slide some start \
statement statistics stop symmetric system system_time table tables tablesample temporary then ties time to trailing true \
truncate tumble unbounded union unique unknown unload unnest update upsert use using value values view views virtual \
watermark watermarks week when where window with within without year zone`;

const TYPES = `array bigint binary boolean bytes char date dec decimal double float int integer map multiset numeric \
precision raw real smallint string struct symbol timestamp timestamp_ltz tinyint varbinary varchar variant`;

const DIALECT = SQLDialect.define({
  keywords: KEYWORDS,
  types: TYPES,
  builtin: "",
  identifierQuotes: "`",
  doubleQuotedStrings: false,
  slashComments: false,
  hashComments: false,
});

const HIGHLIGHT = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--warn)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--bad)" },
  { tag: tags.typeName, color: "var(--accent-strong)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--muted)", fontStyle: "italic" },
]);

const LOOK = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--code)", fontSize: "13px", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--accent)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "var(--code)", color: "var(--muted)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 45%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--accent-soft)",
  },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
  ".cm-placeholder": { color: "var(--muted)" },
  ".cm-tooltip": {
    border: "1px solid var(--border-strong)",
    borderRadius: "6px",
    backgroundColor: "var(--raised)",
    color: "var(--text)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "220px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-diagnostic": { padding: "6px 10px", whiteSpace: "pre-wrap" },
  ".cm-diagnostic-error": { borderLeft: "3px solid var(--bad)" },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--bad)",
    textUnderlineOffset: "3px",
  },
});

export interface EditorHandle {
  text(): string;
  replace(text: string): void;
  insert(text: string): void;
  /** What is selected, or null, and where the cursor is. */
  selection(): { from: number; to: number };
  mark(from: number, to: number, message: string): void;
  clear(): void;
  focus(): void;
}

function marked(view: EditorView, from: number, to: number, message: string): void {
  const length = view.state.doc.length;
  const begin = Math.min(from, length);
  const diagnostic: Diagnostic = { from: begin, to: Math.min(Math.max(to, begin + 1), length), severity: "error", message };
  view.dispatch(setDiagnostics(view.state, [diagnostic]));
  view.dispatch({ selection: { anchor: begin }, effects: EditorView.scrollIntoView(begin, { y: "center" }) });
}

export function Editor(props: {
  initial: string;
  schema: SQLNamespace;
  onChange: (text: string) => void;
  onRun: () => void;
  onRunAll: () => void;
  handle: Ref<EditorHandle>;
}): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const language = useRef(new Compartment());
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    const commands = [
      { key: "Mod-Enter", run: () => (latest.current.onRun(), true) },
      { key: "Shift-Mod-Enter", run: () => (latest.current.onRunAll(), true) },
    ];
    const made = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: props.initial,
        extensions: [
          Prec.highest(keymap.of(commands)),
          lineNumbers(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          lintGutter(),
          history(),
          drawSelection(),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          autocompletion(),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]),
          language.current.of(sql({ dialect: DIALECT, schema: props.schema, upperCaseKeywords: true })),
          syntaxHighlighting(HIGHLIGHT),
          LOOK,
          placeholder("SELECT …   Ctrl+Enter runs the statement at the cursor"),
          EditorView.contentAttributes.of({ "aria-label": "SQL statements", tabindex: "0" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    return () => {
      view.current = null;
      made.destroy();
    };
    // The editor lives as long as the page; what changes reaches it through `latest` and the compartment.
  }, []);

  useEffect(() => {
    const extension = sql({ dialect: DIALECT, schema: props.schema, upperCaseKeywords: true });
    view.current?.dispatch({ effects: language.current.reconfigure(extension) });
  }, [props.schema]);

  useImperativeHandle(
    props.handle,
    (): EditorHandle => ({
      text: () => view.current?.state.doc.toString() ?? "",
      replace: (text) => {
        const made = view.current;
        made?.dispatch({ changes: { from: 0, to: made.state.doc.length, insert: text } });
        made?.focus();
      },
      insert: (text) => {
        view.current?.dispatch(view.current.state.replaceSelection(text));
        view.current?.focus();
      },
      selection: () => view.current?.state.selection.main ?? { from: 0, to: 0 },
      mark: (from, to, message) => {
        if (view.current) marked(view.current, from, to, message);
      },
      clear: () => {
        if (view.current) view.current.dispatch(setDiagnostics(view.current.state, []));
      },
      focus: () => view.current?.focus(),
    }),
    [],
  );

  return <div class="sql-editor" ref={host} />;
}
