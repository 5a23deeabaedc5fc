/*
** Which backups are there?
**
******************************************************************************
**
** USAGE
**
**     sqlite3 queue.db < sql/backups.sql
**
** with SQLite's own shell, 3.37 or newer. It finds the library where the system
** finds libraries (/usr/local/lib after ldconfig, or a directory in LD_LIBRARY_PATH;
** on Windows in PATH, copied as libqueuekeeper.dll). Anywhere else, name it:
**
**     sqlite3 -cmd ".load ./target/release/libqueuekeeper" queue.db < sql/backups.sql
**
** Reads only. Shows the backups in the default directory, the newest first, on a
** terminal of 80 columns: the beginning of the id (enough for queue_verify() and
** queue_restore(), unless several begin so), when it was made (UTC), its type (delta: an
** incremental; compact: a snapshot), compression and size, what is known of it (the level
** of its last verification; DAMAGED: found damaged since; undeleted: it could not be
** deleted), and its name; of another tool's, the file's. A full stop ends a name that is
** longer. queue_backups() has the rest.
*/

.bail on
.timeout 10000

-- The library, unless it is loaded already.
SELECT NULL
 WHERE CASE WHEN EXISTS (SELECT 1 FROM pragma_function_list WHERE name = 'queue_version')
            THEN NULL ELSE load_extension('libqueuekeeper') END IS NOT NULL;

.headers on
.mode column

SELECT CASE backup_type WHEN 'adopted' THEN '' ELSE substr(id, 1, 8) END AS id,
       replace(substr(created_at, 1, 16), 'T', ' ') AS made,
       CASE backup_type WHEN 'incremental' THEN 'delta' WHEN 'snapshot' THEN 'compact'
            ELSE substr(backup_type, 1, 7) END AS type,
       substr(nullif(compression, 'none'), 1, 4) AS zip,
       CASE WHEN size_bytes < 1024 THEN size_bytes || ' B'
            WHEN size_bytes < 1048576 THEN printf('%.1f KiB', size_bytes / 1024.0)
            WHEN size_bytes < 1073741824 THEN printf('%.1f MiB', size_bytes / 1048576.0)
            ELSE printf('%.1f GiB', size_bytes / 1073741824.0) END AS size,
       CASE WHEN deletion_error IS NOT NULL THEN 'undeleted'
            WHEN damaged_at IS NOT NULL THEN 'DAMAGED'
            ELSE coalesce(substr(verified_level, 1, 9), '') END AS verified,
       CASE WHEN length(shown) > 12 THEN substr(shown, 1, 11) || '.' ELSE shown END AS name
  FROM (SELECT *, CASE backup_type WHEN 'adopted' THEN id ELSE name END AS shown FROM queue_backups());
