/*
 * enumvalue.c
 *		Values of the extension's own enum types, looked up once a session.
 */
#include "postgres.h"

#include "catalog/pg_enum.h"
#include "compat.h"
#include "enumvalue.h"
#include "utils/inval.h"
#include "utils/syscache.h"

static EnumType *known = NULL;
static uint64 changes = 0;

/* Enum types have changed: another extension may have been made in place of this one */
static void
forget_all(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
	for (; known != NULL; known = known->next)
		known->is_known = false;
}

void
enum_look_up(EnumType *type)
{
	static bool registered = false;
	uint64		before = changes;
	Oid			oid;

	if (!registered)
		CacheRegisterSyscacheCallback(ENUMTYPOIDNAME, forget_all, (Datum) 0);
	registered = true;
	oid = kb_type_oid(psprintf("kbilling.kb_%s", type->name));
	for (int i = 0; i < ENUM_MAX_LABELS && type->labels[i] != NULL; i++)
	{
		type->values[i] = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(oid),
										  CStringGetDatum(type->labels[i]));
		if (!OidIsValid(type->values[i]))
			elog(ERROR, "kb_%s has no label \"%s\"", type->name, type->labels[i]);
	}
	if (changes != before)
		return;
	type->is_known = true;
	type->next = known;
	known = type;
}

int
enum_label_no(EnumType *type, Datum value)
{
	if (!type->is_known)
		enum_look_up(type);
	for (int i = 0; i < ENUM_MAX_LABELS && type->labels[i] != NULL; i++)
		if (type->values[i] == DatumGetObjectId(value))
			return i;
	elog(ERROR, "kb_%s has no value %u", type->name, DatumGetObjectId(value));
}
