import { MantineProvider } from "@mantine/core";
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  Outlet,
  RouterProvider,
} from "@tanstack/react-router";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, test, vi } from "vitest";
import { server } from "../test/server";
import { lazyPage } from "./lazyPage";
import { PageFailure } from "./PageFailure";

const page = { Page: () => <h1>Events</h1> };

/** A page within a window; `load` says how its script is had. */
function show(load: () => Promise<typeof page>) {
  const root = createRootRoute({
    component: () => (
      <>
        <nav>Around it</nav>
        <Outlet />
      </>
    ),
  });
  const one = createRoute({ getParentRoute: () => root, path: "/", component: lazyPage(load, "Page") });
  const router = createRouter({
    routeTree: root.addChildren([one]),
    history: createMemoryHistory(),
    defaultErrorComponent: PageFailure,
  });
  render(
    <MantineProvider env="test">
      <RouterProvider router={router} />
    </MantineProvider>,
  );
  return userEvent.setup({ delay: null });
}

const document = (answers: boolean) =>
  server.use(
    http.get(`${window.location.origin}${import.meta.env.BASE_URL}`, () =>
      answers ? HttpResponse.text("<!doctype html>") : HttpResponse.error(),
    ),
  );

test("a page that cannot be loaded says so in its own place, and is loaded when it is tried again", async () => {
  document(false);
  const load = vi.fn(() => Promise.resolve(page)).mockRejectedValueOnce(new TypeError("Failed to fetch"));
  const user = show(load);
  expect(await screen.findByText("Taskwire cannot be reached")).toBeVisible();
  expect(screen.getByText("Around it")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByRole("heading", { name: "Events" })).toBeVisible();
  expect(screen.queryByText("Taskwire cannot be reached")).toBeNull();
});

test("where the server is there and the script is not, there is a new version, and nothing is reloaded unasked", async () => {
  document(true);
  show(() => Promise.reject(new TypeError("Failed to fetch")));
  expect(await screen.findByRole("heading", { name: "There is a new version of this page" })).toBeVisible();
  expect(screen.getByText("Around it")).toBeVisible();
  expect(screen.getByRole("button", { name: "Reload" })).toBeVisible();
});

test("a script that the network lost once is had the second time", async () => {
  document(true);
  show(vi.fn(() => Promise.resolve(page)).mockRejectedValueOnce(new TypeError("Failed to fetch")));
  expect(await screen.findByRole("heading", { name: "Events" })).toBeVisible();
});
