import { useBlocker } from "@tanstack/react-router";
import { useEffect } from "react";
import { type Question, useConfirm } from "./useConfirm";

type Guard = {
  /** Whether something would be lost now. */
  when: boolean;
  /** Asked at the moment of leaving, when the page's state may not be drawn yet. */
  unless?: () => boolean;
  question: Question;
};

/** What would be lost now, wherever it stands on the page. */
const guards = new Set<Guard>();

/** Asks before everything on the page is given up without going elsewhere, as by signing out. */
export function useMayLeave() {
  const confirm = useConfirm();
  return async () => {
    for (const { unless, question } of guards) if (!unless?.() && !(await confirm(question))) return false;
    return true;
  };
}

/** Asks before something is lost by leaving the place: by a link, by the browser's buttons, by closing the window. */
export function useLeaveGuard({ when, unless, question }: Guard) {
  const confirm = useConfirm();
  useEffect(() => {
    if (!when) return;
    const guard = { when, unless, question };
    guards.add(guard);
    return () => {
      guards.delete(guard);
    };
  });
  useBlocker({
    shouldBlockFn: async ({ current, next }) => {
      const isSamePlace =
        current.pathname === next.pathname && JSON.stringify(current.search) === JSON.stringify(next.search);
      if (isSamePlace || unless?.()) return false;
      return !(await confirm(question));
    },
    disabled: !when,
    enableBeforeUnload: when,
  });
}
