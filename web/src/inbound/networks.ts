/** Texts that are no network: CIDRs of IPv4 or IPv6, or single addresses. The server judges finally. */
export const faultyNetworks = (networks: string[]): string[] => networks.filter((network) => !isNetwork(network));

function isNetwork(text: string): boolean {
  const [address = "", prefix, more] = text.split("/");
  if (more !== undefined) return false;
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
  const bits = v4 ? 32 : 128;
  const isAddress = v4 ? v4.slice(1).every((part) => Number(part) <= 255) : isV6(address);
  return isAddress && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits));
}

function isV6(text: string): boolean {
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(":")) return false;
  try {
    return new URL(`http://[${text}]/`).hostname.length > 2;
  } catch {
    return false;
  }
}
