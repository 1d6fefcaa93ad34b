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
