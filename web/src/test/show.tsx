import { DirectionProvider, MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { createMemoryHistory, RouterProvider } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { queryClient } from "../api/queries";
import { createAppRouter } from "../app/router";
import { theme } from "../app/theme";
import { session } from "../session/session";
import { Notices } from "../ui/Notices";
import { ConfirmProvider } from "../ui/useConfirm";
import { GROUP } from "./things";

/** The whole page at this place, signed in; of this group, if any. */
export function show(path: string, group: string | null = GROUP) {
  queryClient.clear();
  const { queries, ...rest } = queryClient.getDefaultOptions();
  queryClient.setDefaultOptions({
    ...rest,
    queries: { ...queries, staleTime: 0, retry: false, refetchInterval: false },
  });
  session.signIn("header.payload.signature");
  const search = group === null ? "" : `${path.includes("?") ? "&" : "?"}group=${group}`;
  const router = createAppRouter(createMemoryHistory({ initialEntries: [`/admin${path}${search}`] }));
  render(
    <DirectionProvider>
      <MantineProvider theme={theme} env="test">
        <QueryClientProvider client={queryClient}>
          <Notices />
          <ConfirmProvider>
            <RouterProvider router={router} />
          </ConfirmProvider>
        </QueryClientProvider>
      </MantineProvider>
    </DirectionProvider>,
  );
  return { router, user: userEvent.setup({ delay: null }) };
}
