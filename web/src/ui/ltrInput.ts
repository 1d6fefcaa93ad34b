/** For fields of what reads from left to right in every language: URLs, numbers, headers, networks. */
export const ltrInput = { input: { direction: "ltr" as const } };
