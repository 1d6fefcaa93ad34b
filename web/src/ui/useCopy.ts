import { useEffect, useRef, useState } from "react";

const SHOWN_MS = 2_000;

/** The way from before there was a clipboard for scripts: it works without TLS, and in frames that were not given one. */
function copyTheOldWay(text: string): boolean {
  let taken = false;
  const give = (event: ClipboardEvent) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    taken = event.clipboardData !== null;
  };
  document.addEventListener("copy", give);
  try {
    return document.execCommand("copy") && taken;
  } catch {
    return false;
  } finally {
    document.removeEventListener("copy", give);
  }
}

async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyTheOldWay(text);
  }
}

export type Copied = "copied" | "failed" | null;

/** Copies a text, and says for a moment what became of it. */
export function useCopy() {
  const [state, setState] = useState<Copied>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (text: string) => {
    setState((await write(text)) ? "copied" : "failed");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setState(null), SHOWN_MS);
  };
  return { state, copy };
}
