import { expect, test } from "vitest";
import { formSchema } from "./schema";

test.each([
  ["", undefined],
  ["sixteen chars ok", undefined],
  ["sechzehn Zeichen für", undefined],
  ["aaaaaaaaaaaaaaaa", undefined],
  ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", undefined],
  ["fifteen chars..", "form.fault.secretLength"],
  ["sixteen chars ok ", "form.fault.secretPlain"],
  ["sixteen\tchars ok", "form.fault.secretPlain"],
  ["whsec_abcdefghijk", "form.fault.secretBase64"],
])("a secret of one's own is judged as the server judges it: %j", (secret, fault) => {
  const found = formSchema.shape.secret.safeParse(secret);
  expect(found.error?.issues[0]?.message).toBe(fault);
});

test.each([
  ["Payroll", undefined],
  ["👩‍💻", undefined],
  ["", "form.fault.nameMissing"],
  [" \u00a0", "form.fault.nameMissing"],
  ["\u200b\u200f\u3164", "form.fault.nameMissing"],
  ["x".repeat(201), "form.fault.nameLong"],
])("a name is something that can be seen: %j", (name, fault) => {
  expect(formSchema.shape.name.safeParse(name).error?.issues[0]?.message).toBe(fault);
});

test("a URL is taken without the blanks that were pasted with it", () => {
  expect(formSchema.shape.targetUrl.parse("\u00a0https://payroll.example/hook \n")).toBe(
    "https://payroll.example/hook",
  );
});
