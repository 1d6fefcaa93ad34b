import {
  type ColumnDef,
  flexRender,
  getCoreRowModel,
  type Row,
  type RowData,
  useReactTable,
} from "@tanstack/react-table";
import { type KeyboardEvent, type MouseEvent, memo, type RefObject, useEffect, useRef } from "react";

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
  const latest = useRef(open);
  useEffect(() => {
    latest.current = open;
  });
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
          <BodyRow
            key={row.id}
            row={row}
            original={row.original}
            columns={columns}
            open={open ? latest : undefined}
            opened={open !== undefined && opened === row.id}
            label={openLabel?.(row.original)}
          />
        ))}
      </tbody>
    </table>
    // biome-ignore-end lint/a11y/noRedundantRoles: see above
  );
}

type RowProps<T> = {
  row: Row<T>;
  original: T;
  columns: ColumnDef<T>[];
  open: RefObject<((row: T) => void) | undefined> | undefined;
  opened: boolean;
  label: string | undefined;
};

function DrawnRow<T>({ row, original, open, opened, label }: RowProps<T>) {
  return (
    <tr
      // biome-ignore lint/a11y/noRedundantRoles: as above
      role="row"
      data-id={row.id}
      className={open ? "opens" : undefined}
      tabIndex={open ? 0 : undefined}
      data-opened={opened || undefined}
      aria-label={label}
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
        >
          {flexRender(cell.column.columnDef.cell, cell.getContext())}
        </td>
      ))}
    </tr>
  );
}

/** Drawn again only where something of it changed: there may be thousands. The table makes its rows anew each time. */
const BodyRow = memo(DrawnRow, (before, after) =>
  (["original", "columns", "open", "opened", "label"] as const).every((name) => before[name] === after[name]),
) as typeof DrawnRow;
