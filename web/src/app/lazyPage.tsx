import type { ComponentType } from "react";
import { NewVersion, Unreachable } from "../api/problem";

const isServed = () =>
  fetch(new URL(import.meta.env.BASE_URL, window.location.origin), { cache: "no-store" }).then(
    ({ ok }) => ok,
    () => false,
  );

/** A script that is loaded on demand. Throws `NewVersion` where the server is there and the script is not. */
export async function fetched<Module>(load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch {
    if (!(await isServed())) throw new Unreachable();
    return load().catch(() => {
      throw new NewVersion();
    });
  }
}

/**
 * A page that is loaded when it is first gone to, or ahead. Where that fails it is the page that says so: the router's own
 * way is to reload the document, which forgets who is signed in.
 */
export function lazyPage<Name extends string>(load: () => Promise<Record<Name, ComponentType>>, name: Name) {
  let Loaded: ComponentType | undefined;
  let loading: Promise<void> | undefined;
  const preload = () => {
    loading ??= fetched(load).then(
      (module) => {
        Loaded = module[name];
      },
      (error) => {
        loading = undefined;
        throw error;
      },
    );
    return loading;
  };
  // The router draws it once `preload` has ended well.
  return Object.assign(() => (Loaded ? <Loaded /> : null), { preload });
}
