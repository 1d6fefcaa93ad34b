import type { UseMutationResult } from "@tanstack/react-query";
import { useRef } from "react";

/** Begins a mutation, but not again while it is under way: a double click comes before the button is drawn as busy. */
export function useOnce<T, E, V>(mutation: UseMutationResult<T, E, V>) {
  const busy = useRef(false);
  return (variables: V) => {
    if (busy.current) return;
    busy.current = true;
    const over = () => {
      busy.current = false;
    };
    // A failure is said where the mutation is defined.
    mutation.mutateAsync(variables).then(over, over);
  };
}
