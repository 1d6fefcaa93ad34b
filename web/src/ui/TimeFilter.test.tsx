import { MantineProvider } from "@mantine/core";
import { fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test, vi } from "vitest";
import { toLocalInput } from "../deliveries/filter";
import { TimeFilter } from "./TimeFilter";

/** What is said becomes the value, a little later, as it does by way of the URL. */
function Host({ onSaid }: { onSaid: () => void }) {
  const [times, setTimes] = useState<{ since?: string; until?: string }>({});
  return (
    <>
      <TimeFilter
        {...times}
        onChange={(change) => {
          onSaid();
          setTimeout(() => setTimes((all) => ({ ...all, ...change })), 20);
        }}
      />
      <output>{`${toLocalInput(times.since)} to ${toLocalInput(times.until)}`}</output>
      <button type="button" onClick={() => setTimes({})}>
        Clear
      </button>
    </>
  );
}

/** As a browser has it while one part of the time is missing. */
function halve(field: HTMLElement) {
  Object.defineProperty(field, "validity", { value: { badInput: true }, configurable: true });
  fireEvent.change(field, { target: { value: "" } });
}
const made = (field: HTMLElement, value: string) => {
  Object.defineProperty(field, "validity", { value: { badInput: false }, configurable: true });
  fireEvent.change(field, { target: { value } });
};

async function fixed() {
  const user = userEvent.setup({ delay: null });
  const onSaid = vi.fn();
  render(<Host onSaid={onSaid} />, {
    wrapper: ({ children }) => <MantineProvider env="test">{children}</MantineProvider>,
  });
  await user.selectOptions(screen.getByLabelText("Time"), "fixed");
  await vi.waitFor(() => expect(screen.getByLabelText("From")).not.toHaveValue(""));
  onSaid.mockClear();
  return {
    user,
    onSaid,
    from: screen.getByLabelText("From"),
    to: screen.getByLabelText("To"),
    said: screen.getByRole("status"),
  };
}

test("a time counts once it is whole: what is half typed changes nothing, and no field goes", async () => {
  const { from, said, user, onSaid } = await fixed();
  await user.click(from);
  halve(from);
  expect(from).toHaveFocus();
  made(from, "0002-10-15T20:25");
  expect(onSaid).not.toHaveBeenCalled();
  made(from, "2025-10-15T20:25");
  await vi.waitFor(() => expect(said).toHaveTextContent("2025-10-15T20:25 to"));
  expect(onSaid).toHaveBeenCalledOnce();
  expect(from).toHaveFocus();
});

test("a time that is left half typed is again what it was", async () => {
  const { from, to, said, user, onSaid } = await fixed();
  await user.click(to);
  made(to, "2025-10-16T08:00");
  await user.click(from);
  await vi.waitFor(() => expect(said).toHaveTextContent("to 2025-10-16T08:00"));
  await user.click(to);
  halve(to);
  await user.click(from);
  expect(to).toHaveValue("2025-10-16T08:00");
  await user.click(to);
  made(to, "0020-10-16T08:00");
  await user.click(from);
  expect(to).toHaveValue("2025-10-16T08:00");
  expect(onSaid).toHaveBeenCalledOnce();
});

test("both times may be emptied one after the other; what clears the filter from outside takes the fields away", async () => {
  const { from, said, user } = await fixed();
  made(from, "");
  await user.type(from, "{Enter}");
  await vi.waitFor(() => expect(said).toHaveTextContent(/^to$/));
  expect(from).toBeVisible();
  made(from, "2025-10-15T20:25");
  await user.type(from, "{Enter}");
  await vi.waitFor(() => expect(said).toHaveTextContent("2025-10-15T20:25 to"));
  await user.click(screen.getByRole("button", { name: "Clear" }));
  expect(screen.queryByLabelText("From")).toBeNull();
  expect(screen.getByLabelText("Time")).toHaveValue("");
});
