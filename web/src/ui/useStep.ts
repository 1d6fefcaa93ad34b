import { useRouter } from "@tanstack/react-router";
import { useRef } from "react";

/**
 * What is opened above a page is a step in the browser's history, so that going back closes it. Closed otherwise, the step is
 * taken back: going back later does not open it again.
 */
export function useStep() {
  const { history } = useRouter();
  const taken = useRef(false);
  return {
    open(go: () => void) {
      taken.current = true;
      go();
    },
    /** `replace` closes what the page was entered with. */
    close(replace: () => void) {
      if (!taken.current) return replace();
      taken.current = false;
      history.back();
    },
  };
}
