import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, expect, test, vi } from "vitest";
import { CopyButton } from "./CopyButton";
import { SearchField } from "./SearchField";

afterEach(() => vi.restoreAllMocks());

/** Like a filter in the URL: what is said comes back as the value, a little later. */
function Slow() {
  const [value, setValue] = useState("");
  return (
    <>
      <SearchField label="Find" value={value} onChange={(next) => setTimeout(() => setValue(next), 60)} />
      <output>{value}</output>
      <button type="button" onClick={() => setValue("")}>
        Clear
      </button>
    </>
  );
}

test("what is typed while a filter takes effect stays, and the field follows a change from outside", async () => {
  const user = userEvent.setup({ delay: null });
  render(<Slow />, { wrapper: ({ children }) => <MantineProvider env="test">{children}</MantineProvider> });
  const field = screen.getByLabelText("Find");
  await user.type(field, "pay ");
  await vi.waitFor(() => expect(screen.getByRole("status")).toHaveTextContent("pay"));
  expect(field).toHaveValue("pay ");
  await user.type(field, "roll");
  await vi.waitFor(() => expect(screen.getByRole("status")).toHaveTextContent("pay roll"));
  expect(field).toHaveValue("pay roll");
  await user.click(screen.getByRole("button", { name: "Clear" }));
  expect(field).toHaveValue("");
});

test("a text that cannot be copied is said to be so, and where there is no clipboard the old way is tried", async () => {
  const user = userEvent.setup({ delay: null });
  vi.spyOn(navigator.clipboard, "writeText").mockRejectedValue(new Error("not allowed in this frame"));
  const taken: string[] = [];
  // jsdom has none; browsers fire the event, and take what it is given.
  const old = vi.fn(() => {
    const event = new Event("copy") as Event & { clipboardData: unknown };
    event.clipboardData = { setData: (_: string, text: string) => taken.push(text) };
    document.dispatchEvent(event);
    return true;
  });
  Object.assign(document, { execCommand: old });
  const { rerender } = render(<CopyButton text="whsec_1" label="Copy secret" />, {
    wrapper: ({ children }) => <MantineProvider env="test">{children}</MantineProvider>,
  });
  await user.click(screen.getByRole("button", { name: "Copy secret" }));
  expect(await screen.findByRole("button", { name: "Copied" })).toBeVisible();
  expect(taken).toEqual(["whsec_1"]);
  old.mockImplementation(() => false);
  rerender(<CopyButton key="again" text="whsec_1" label="Copy secret" />);
  await user.click(screen.getByRole("button", { name: "Copy secret" }));
  expect(await screen.findByRole("button", { name: /Cannot copy here/ })).toBeVisible();
});
