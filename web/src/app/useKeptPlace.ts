import { useEffect } from "react";

/** Dialogs give the keyboard's attention back by themselves, a moment after they close. */
const AFTER_DIALOGS_MS = 50;

const isLost = (element: HTMLElement) => !element.isConnected || ("disabled" in element && element.disabled === true);

/** What is left of the place where an element was: the nearest thing around it that is still there. */
function placeOf(around: HTMLElement[]): HTMLElement | null {
  const main = document.getElementById("main");
  const left = around.find((one) => one.isConnected && one.closest("main, nav, [role=dialog]"));
  return left ?? main;
}

/** What has the keyboard's attention may go, or be disabled, by what it does. Then the attention stays at its place. */
export function useKeptPlace() {
  useEffect(() => {
    // The element that has it, and those around it.
    let path: HTMLElement[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const note = (event: FocusEvent) => {
      path = event.composedPath().filter((one) => one instanceof HTMLElement);
    };
    const leave = ({ relatedTarget }: FocusEvent) => {
      // What is removed is still there while browsers say that it loses the attention.
      queueMicrotask(() => {
        if (relatedTarget === null && path[0] && !isLost(path[0])) path = [];
      });
    };
    const keep = () => {
      const [last, ...around] = path;
      if (!last || !isLost(last) || (document.activeElement && document.activeElement !== document.body)) return;
      const place = placeOf(around);
      if (place && !place.hasAttribute("tabindex")) place.tabIndex = -1;
      place?.focus({ preventScroll: true });
    };
    const observer = new MutationObserver(() => {
      if (!path[0] || !isLost(path[0])) return;
      clearTimeout(timer);
      timer = setTimeout(keep, AFTER_DIALOGS_MS);
    });
    observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled"] });
    document.addEventListener("focusin", note);
    document.addEventListener("focusout", leave);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
      document.removeEventListener("focusin", note);
      document.removeEventListener("focusout", leave);
    };
  }, []);
}
