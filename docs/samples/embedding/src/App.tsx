import { type ReactNode, useEffect, useState } from "react";
import { Integrations } from "./Integrations";
import { getToken, type Session } from "./service";

const TABS = ["Tasks", "Members", "Integrations"] as const;
const LINES = {
  Tasks: ["Water the plants", "Clean the kitchen", "Take out the rubbish"],
  Members: ["Dana", "Noam", "Yael"],
};

/** An application of the task service's kind: its own header, language, theme and group. */
export function App({ session }: { session: Session }) {
  const [tab, setTab] = useState<(typeof TABS)[number]>("Integrations");
  const [groupId, setGroupId] = useState(session.groups[0]?.id ?? "");
  const [locale, setLocale] = useState("en");
  const [theme, setTheme] = useState<"light" | "dark">("light");
  useEffect(() => {
    document.documentElement.classList.toggle("dark", theme === "dark");
    document.documentElement.dir = locale === "he" ? "rtl" : "ltr";
  }, [theme, locale]);

  return (
    <div className="min-h-screen bg-slate-100 text-slate-900 dark:bg-slate-950 dark:text-slate-100">
      <header className="flex flex-wrap items-center gap-x-6 gap-y-2 bg-indigo-900 px-6 py-3 text-white">
        <strong className="text-lg tracking-tight">TasksTracker</strong>
        <nav className="flex gap-1">
          {TABS.map((name) => (
            <button
              key={name}
              type="button"
              aria-current={name === tab ? "page" : undefined}
              className="rounded-md px-3 py-1.5 text-sm text-indigo-100 hover:bg-indigo-800 aria-[current]:bg-indigo-700 aria-[current]:text-white"
              onClick={() => setTab(name)}
            >
              {name}
            </button>
          ))}
        </nav>
        <div className="ms-auto flex gap-2 text-sm">
          <Choice label="Group" value={groupId} onChange={setGroupId}>
            {session.groups.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </Choice>
          <Choice label="Language" value={locale} onChange={setLocale}>
            <option value="en">English</option>
            <option value="he">עברית</option>
          </Choice>
          <Choice label="Theme" value={theme} onChange={(value) => setTheme(value as typeof theme)}>
            <option value="light">Light</option>
            <option value="dark">Dark</option>
          </Choice>
        </div>
      </header>
      <main className="mx-auto my-6 max-w-6xl overflow-hidden rounded-xl bg-white shadow dark:bg-slate-900">
        {tab === "Integrations" ? (
          <Integrations origin={session.taskwire} getToken={getToken} groupId={groupId} locale={locale} theme={theme} />
        ) : (
          <ul className="divide-y divide-slate-200 dark:divide-slate-700">
            {LINES[tab].map((line) => (
              <li key={line} className="px-6 py-4">
                {line}
              </li>
            ))}
          </ul>
        )}
      </main>
    </div>
  );
}

type ChoiceProps = { label: string; value: string; onChange: (value: string) => void; children: ReactNode };

function Choice({ label, value, onChange, children }: ChoiceProps) {
  return (
    <select
      aria-label={label}
      className="rounded-md bg-indigo-800 px-2 py-1.5"
      value={value}
      onChange={(event) => onChange(event.target.value)}
    >
      {children}
    </select>
  );
}
