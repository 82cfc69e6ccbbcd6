"""`angiova measure`: masks on disk in, tables, pictures and curves of their vessels out."""
