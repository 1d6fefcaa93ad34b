import { type ColumnDef, flexRender, getCoreRowModel, type RowData, useReactTable } from "@tanstack/react-table";
import type { KeyboardEvent, MouseEvent } from "react";

declare module "@tanstack/react-table" {
  interface ColumnMeta<TData extends RowData, TValue> {
    /** On narrow screens a row is a card: does the cell take its whole width, or is it left out? */
    narrow?: "wide" | "drop";
    width?: number | string;
  }
}

type Props<T> = {
  label: string;
  data: T[];
  columns: ColumnDef<T>[];
  rowId: (row: T) => string;
  /** Opens a row; the row is then a button for the keyboard too. */
  open?: (row: T) => void;
  opened?: string;
  openLabel?: (row: T) => string;
};

const isOwnControl = (target: EventTarget) =>
  target instanceof Element && target.closest("a,button,input,label,[role=menuitem]") !== null;

export function Rows<T>({ label, data, columns, rowId, open, opened, openLabel }: Props<T>) {
  const table = useReactTable({ data, columns, getRowId: rowId, getCoreRowModel: getCoreRowModel() });
  return (
    // Roles are said, because as cards the rows lose those that come with the elements.
    // biome-ignore-start lint/a11y/noRedundantRoles: see above
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
          <tr
            key={row.id}
            role="row"
            data-id={row.id}
            className={open ? "opens" : undefined}
            tabIndex={open ? 0 : undefined}
            data-opened={(open && opened === row.id) || undefined}
            aria-label={openLabel?.(row.original)}
            onClick={(event: MouseEvent) => {
              if (!isOwnControl(event.target)) open?.(row.original);
            }}
            onKeyDown={(event: KeyboardEvent) => {
              if (event.target === event.currentTarget && (event.key === "Enter" || event.key === " ")) {
                event.preventDefault();
                open?.(row.original);
              }
            }}
          >
            {row.getVisibleCells().map((cell) => (
              <td
                key={cell.id}
                role="cell"
                data-wide={cell.column.columnDef.meta?.narrow === "wide" || undefined}
                data-drop={cell.column.columnDef.meta?.narrow === "drop" || undefined}
              >
                {flexRender(cell.column.columnDef.cell, cell.getContext())}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
    // biome-ignore-end lint/a11y/noRedundantRoles: see above
  );
}
