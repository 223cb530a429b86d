/*
 * page.c
 *		JSON that pages get, each thing in one shape.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "name.h"
#include "page.h"
#include "plan.h"
#include "rowread.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static ReadTable service_table = {.name = "service", .columns = {"service", "unit"}, .nkeys = 1};

/* A type of the extension */
static Oid
type_of(const char *name)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
						   ObjectIdGetDatum(get_namespace_oid("kbilling", false)));
}

void
page_begin(PageJson *page, const char *language)
{
	*page = (PageJson) {.language = pstrdup(language), .capacity = 16};
	page->money_type = type_of("kb_money");
	page->lines_type = type_of("kb_lines");
	page->names = palloc(page->capacity * sizeof(PageName));
}

Jsonb *
page_end(PageJson *page)
{
	page->state = NULL;
	return JsonbValueToJsonb(page->done);
}

void
page_open(PageJson *page, JsonbIteratorToken token)
{
	(void) pushJsonbValue(&page->state, token, NULL);
}

void
page_close(PageJson *page, JsonbIteratorToken token)
{
	page->done = pushJsonbValue(&page->state, token, NULL);
}

/* Push a text: a key, or a value */
static void
push_text(PageJson *page, JsonbIteratorToken token, const char *str, int len)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = unconstify(char *, str);
	v.val.string.len = len;
	(void) pushJsonbValue(&page->state, token, &v);
}

void
page_key(PageJson *page, const char *key)
{
	push_text(page, WJB_KEY, key, strlen(key));
}

/* Push null */
static void
push_null(PageJson *page)
{
	JsonbValue	v = {.type = jbvNull};

	(void) pushJsonbValue(&page->state, WJB_VALUE, &v);
}

void
page_null(PageJson *page, const char *key)
{
	page_key(page, key);
	push_null(page);
}

void
page_text(PageJson *page, const char *key, const char *str)
{
	page_key(page, key);
	push_text(page, WJB_VALUE, str, strlen(str));
}

/* Push a date or moment, as to_jsonb writes it */
static void
push_moment(PageJson *page, Datum value, Oid type)
{
	char		buf[MAXDATELEN + 1];

	JsonEncodeDateTime(buf, value, type, NULL);
	push_text(page, WJB_VALUE, pstrdup(buf), strlen(buf));
}

void
page_date(PageJson *page, const char *key, DateADT day)
{
	page_key(page, key);
	push_moment(page, DateADTGetDatum(day), DATEOID);
}

void
page_money(PageJson *page, const char *key, Money amount)
{
	page_key(page, key);
	(void) lines_push_money(&page->state, amount);
}

/* Push a number */
static void
push_number(PageJson *page, Numeric number)
{
	JsonbValue	v = {.type = jbvNumeric};

	v.val.numeric = number;
	(void) pushJsonbValue(&page->state, WJB_VALUE, &v);
}

void
page_integer(PageJson *page, const char *key, int64 n)
{
	page_key(page, key);
	push_number(page, int64_to_numeric(n));
}

/* Push what is JSON already */
static void
push_json(PageJson *page, Jsonb *json)
{
	JsonbValue	v = {.type = jbvBinary};

	v.val.binary.data = &json->root;
	v.val.binary.len = VARSIZE(json) - VARHDRSZ;
	(void) pushJsonbValue(&page->state, WJB_VALUE, &v);
}

/* What a service's unit is called; NULL if it has none */
static char *
unit_of(const PageJson *page, const char *service)
{
	Datum		key = CStringGetTextDatum(service);
	ReadRow		row;

	if (!row_read(&service_table, &key, &row) || row.nulls[1])
		return NULL;
	return name_of("unit", TextDatumGetCString(row.values[1]), page->language);
}

/* The name of a code, looked up once for a page */
static const PageName *
find_name(PageJson *page, const char *subject, const char *code)
{
	PageName   *found;

	for (int i = 0; i < page->nnames; i++)
		if (strcmp(page->names[i].subject, subject) == 0 && strcmp(page->names[i].code, code) == 0)
			return &page->names[i];
	if (page->nnames == page->capacity)
	{
		page->capacity *= 2;
		page->names = repalloc(page->names, page->capacity * sizeof(PageName));
	}
	found = &page->names[page->nnames++];
	*found = (PageName) {.subject = subject, .code = pstrdup(code), .name = name_of(subject, code, page->language)};
	return found;
}

const char *
page_name(PageJson *page, const char *subject, const char *code)
{
	return find_name(page, subject, code)->name;
}

/* The names of a line's service, for lines.c */
static LineNames
find_line_names(void *arg, const char *service)
{
	PageJson   *page = arg;
	int			known = page->nnames;
	const PageName *found = find_name(page, "service", service);

	if (page->nnames > known)
		page->names[known].unit = unit_of(page, service);
	return (LineNames) {.name = found->name, .unit = found->unit};
}

void
page_lines(PageJson *page, const Lines *lines)
{
	lines_push(&page->state, lines, find_line_names, page);
}

/* Push a payment method */
static void
push_method(PageJson *page, const char *method)
{
	page_open(page, WJB_BEGIN_OBJECT);
	page_text(page, "method", method);
	page_text(page, "name", page_name(page, "payment_method", method));
	page_close(page, WJB_END_OBJECT);
}

/* Push a value of the extension's own types, or of any other, as its text */
static void
push_other(PageJson *page, Datum value, Oid type)
{
	Oid			output;
	bool		is_varlena;
	char	   *str;

	if (type == page->money_type)
		(void) lines_push_money(&page->state, DatumGetMoney(value));
	else if (type == page->lines_type)
		page_lines(page, DatumGetLines(value));
	else
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		str = OidOutputFunctionCall(output, value);
		push_text(page, WJB_VALUE, str, strlen(str));
	}
}

/* Push a value that is not NULL */
static void
push_value(PageJson *page, Datum value, Oid type)
{
	JsonbValue	v = {.type = jbvBool};

	switch (type)
	{
		case TEXTOID:
			push_text(page, WJB_VALUE, VARDATA_ANY(DatumGetPointer(value)), VARSIZE_ANY_EXHDR(DatumGetPointer(value)));
			break;
		case INT4OID:
			push_number(page, int64_to_numeric(DatumGetInt32(value)));
			break;
		case INT8OID:
			push_number(page, int64_to_numeric(DatumGetInt64(value)));
			break;
		case NUMERICOID:
			push_number(page, DatumGetNumeric(value));
			break;
		case BOOLOID:
			v.val.boolean = DatumGetBool(value);
			(void) pushJsonbValue(&page->state, WJB_VALUE, &v);
			break;
		case DATEOID:
		case TIMESTAMPTZOID:
			push_moment(page, value, type);
			break;
		case JSONBOID:
			push_json(page, DatumGetJsonbP(value));
			break;
		default:
			push_other(page, value, type);
	}
}

void
page_columns(PageJson *page, uint64 row, int first, int last)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;

	for (int i = first; i <= last; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i - 1);
		bool		isnull;
		Datum		value = plan_row_column(row, i, &isnull);

		page_key(page, NameStr(att->attname));
		if (isnull)
			push_null(page);
		else if (strcmp(NameStr(att->attname), "method") == 0)
			push_method(page, TextDatumGetCString(value));
		else
			push_value(page, att->atttypid == TEXTOID ? PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)) : value, att->atttypid);
	}
}

void
page_rows(PageJson *page)
{
	uint64		rows = SPI_processed;
	int			columns = SPI_tuptable->tupdesc->natts;

	page_open(page, WJB_BEGIN_ARRAY);
	for (uint64 i = 0; i < rows; i++)
	{
		page_open(page, WJB_BEGIN_OBJECT);
		page_columns(page, i, 1, columns);
		page_close(page, WJB_END_OBJECT);
	}
	page_close(page, WJB_END_ARRAY);
}
