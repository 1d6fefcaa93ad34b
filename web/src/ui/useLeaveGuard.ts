import { useBlocker } from "@tanstack/react-router";
import { type Question, useConfirm } from "./useConfirm";

type Guard = {
  /** Whether something would be lost now. */
  when: boolean;
  /** Asked at the moment of leaving, when the page's state may not be drawn yet. */
  unless?: () => boolean;
  question: Question;
};

/** Asks before something is lost by leaving the place: by a link, by the browser's buttons, by closing the window. */
export function useLeaveGuard({ when, unless, question }: Guard) {
  const confirm = useConfirm();
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
