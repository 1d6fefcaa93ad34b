import { VisuallyHidden } from "@mantine/core";
import {
  type ColumnDef,
  flexRender,
  getCoreRowModel,
  type Row,
  type RowData,
  useReactTable,
} from "@tanstack/react-table";
import { type KeyboardEvent, type MouseEvent, memo, type RefObject, useEffect, useId, useRef } from "react";
import { useT } from "../i18n";

declare module "@tanstack/react-table" {
  interface ColumnMeta<TData extends RowData, TValue> {
    /** On narrow screens a row is a card: does the cell take its whole width, or is it left out? */
    narrow?: "wide" | "drop";
    /** There its value alone does not tell what it is: its header stands before it. */
    named?: boolean;
    width?: number | string;
  }
}

type Props<T> = {
  label: string;
  data: T[];
  columns: ColumnDef<T>[];
  rowId: (row: T) => string;
  /** Opens a row; the keyboard does too. */
  open?: (row: T) => void;
  /** Each row holds a link that opens the same, which is enough for the keyboard. */
  hasLinks?: boolean;
  opened?: string;
};

const isOwnControl = (target: EventTarget) =>
  target instanceof Element && target.closest("a,button,input,label,[role=menuitem]") !== null;

export function Rows<T>({ label, data, columns, rowId, open, hasLinks, opened }: Props<T>) {
  const t = useT();
  const help = useId();
  const table = useReactTable({ data, columns, getRowId: rowId, getCoreRowModel: getCoreRowModel() });
  const latest = useRef(open);
  useEffect(() => {
    latest.current = open;
  });
  return (
    // Roles are said, because as cards the rows lose those that come with the elements.
    // biome-ignore-start lint/a11y/noRedundantRoles: see above
    <>
      <VisuallyHidden id={help}>{t("common.opens")}</VisuallyHidden>
      <table className="rows" data-stack aria-label={label} role="table">
        <thead role="rowgroup">
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} role="row">
              {group.headers.map((header) => (
                <th
                  key={header.id}
                  scope="col"
                  role="columnheader"
                  style={{ width: header.column.columnDef.meta?.width }}
                >
                  {flexRender(header.column.columnDef.header, header.getContext())}
                </th>
              ))}
            </tr>
          ))}
        </thead>
        <tbody role="rowgroup">
          {table.getRowModel().rows.map((row) => (
            <BodyRow
              key={row.id}
              row={row}
              original={row.original}
              columns={columns}
              open={open ? latest : undefined}
              opened={open !== undefined && opened === row.id}
              help={hasLinks ? undefined : help}
            />
          ))}
        </tbody>
      </table>
    </>
    // biome-ignore-end lint/a11y/noRedundantRoles: see above
  );
}

type RowProps<T> = {
  row: Row<T>;
  original: T;
  columns: ColumnDef<T>[];
  open: RefObject<((row: T) => void) | undefined> | undefined;
  opened: boolean;
  /** The id of what tells that the keyboard opens it; without one it does not. */
  help: string | undefined;
};

function DrawnRow<T>({ row, original, open, opened, help }: RowProps<T>) {
  const isReached = open !== undefined && help !== undefined;
  return (
    <tr
      // biome-ignore lint/a11y/noRedundantRoles: as above
      role="row"
      data-id={row.id}
      className={open ? "opens" : undefined}
      tabIndex={isReached ? 0 : undefined}
      data-opened={opened || undefined}
      aria-describedby={isReached ? help : undefined}
      onClick={(event: MouseEvent) => {
        if (!isOwnControl(event.target)) open?.current?.(original);
      }}
      onKeyDown={(event: KeyboardEvent) => {
        if (event.target === event.currentTarget && (event.key === "Enter" || event.key === " ")) {
          event.preventDefault();
          open?.current?.(original);
        }
      }}
    >
      {row.getVisibleCells().map((cell) => (
        <td
          key={cell.id}
          // biome-ignore lint/a11y/noRedundantRoles: as above
          role="cell"
          data-wide={cell.column.columnDef.meta?.narrow === "wide" || undefined}
          data-drop={cell.column.columnDef.meta?.narrow === "drop" || undefined}
          data-name={cell.column.columnDef.meta?.named ? String(cell.column.columnDef.header) : undefined}
        >
          {flexRender(cell.column.columnDef.cell, cell.getContext())}
        </td>
      ))}
    </tr>
  );
}

/** Drawn again only where something of it changed: there may be thousands. The table makes its rows anew each time. */
const BodyRow = memo(DrawnRow, (before, after) =>
  (["original", "columns", "open", "opened", "help"] as const).every((name) => before[name] === after[name]),
) as typeof DrawnRow;
