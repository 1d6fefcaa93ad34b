import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { Ago, Name, UrlParts } from "./Text";

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

test("what has just happened is not said to be ahead, and what is due any moment not to be over", () => {
  render(
    <>
      <p>it came {<Ago at={inSeconds(3)} />}</p>
      <p>next {<Ago at={inSeconds(-3)} due />}</p>
      <p>then {<Ago at={inSeconds(400)} due />}</p>
      <p>once {<Ago at={inSeconds(-400)} />}</p>
    </>,
  );
  const said = screen.getAllByRole("paragraph").map((line) => line.textContent);
  expect(said).toEqual(["it came now", "next now", "then in 6 min", "once 6 min ago"]);
});

test("a name is not turned around by marks in it", () => {
  render(<Name>{"Pay\u202eexe.gpj\u202c"}</Name>);
  expect(screen.getByText("Payexe.gpj")).toBeVisible();
});

test("a URL of Hebrew letters keeps its parts in their order, and stays what it is when it is copied", () => {
  const url = "https://דוגמה.example/נתיב?x=1";
  render(
    <p>
      <UrlParts url={url} />
    </p>,
  );
  const line = screen.getByRole("paragraph");
  expect(line.textContent).toBe(url);
  expect([...line.querySelectorAll("bdi")].map((part) => part.textContent)).toEqual(
    expect.arrayContaining(["דוגמה", "נתיב"]),
  );
});
