/*
 * version.c
 *		The version of the library, and that of the objects in the database.
 *
 * One that meets another would read columns that are not there, or, worse, follow other rules than the views and functions
 * beside it.  So whatever reads or writes a table asks here first; what only computes does not.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "version.h"

/* So that it is found in the file, too */
static const char library_version[] = "kbilling library " KBILLING_VERSION;

/* Set once it has been looked up, until some function changes, as an update of the extension changes them. */
static bool is_required = false;
static bool is_registered = false;

/* The library's version alone */
static const char *
version_of_library(void)
{
	return strrchr(library_version, ' ') + 1;
}

/* A function has changed, or any may have */
static void
note_change(Datum arg, int cache, uint32 hash)
{
	is_required = false;
}

/* The version of the extension in this database, palloc'd; NULL if it is not there */
static char *
version_of_objects(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("kbilling"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);

		version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

void
version_require(void)
{
	char	   *version;

	if (is_required)
		return;
	if (!is_registered)
		CacheRegisterSyscacheCallback(PROCOID, note_change, (Datum) 0);
	is_registered = true;
	version = version_of_objects();
	if (version != NULL && strcmp(version, version_of_library()) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("kbilling is of version %s in this database, but its library is of version %s", version,
						version_of_library()),
				 errdetail("Nothing is done until both are of one version."),
				 errhint("Run ALTER EXTENSION kbilling UPDATE as a superuser; if that has been done, connect anew.")));
	is_required = true;
	if (version != NULL)
		pfree(version);
}
