/*
 * fuzz.c
 *		libFuzzer in a session of the server.
 *
 * kb_fuzz(property, arguments) throws inputs at a function of the database that
 * takes a bytea, and whose code, or that of what it calls, says which branches
 * an input has taken.  An error that the property does not name as expected is
 * a find, like a crash.  It does not return: the fuzzer ends the process.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

PG_MODULE_MAGIC;

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv, int (*test) (const uint8_t *data, size_t size));

static FmgrInfo property;
static MemoryContext each_context;
static char **expected;
static int	nexpected;

/* Whether a property may raise this */
static bool
is_expected(int sqlerrcode)
{
	const char *state = unpack_sql_state(sqlerrcode);

	for (int i = 0; i < nexpected; i++)
		if (strcmp(expected[i], state) == 0)
			return true;
	return false;
}

/* An input that breaks the property: the fuzzer writes it to a file when it catches this */
static void
report(ErrorData *error)
{
	fprintf(stderr, "FOUND: %s %s: %s\n", unpack_sql_state(error->sqlerrcode), error->message, error->detail ? error->detail : "");
	abort();
}

/* Try an input, in a subtransaction that leaves nothing behind */
static int
try_input(const uint8_t *data, size_t size)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext outside = CurrentMemoryContext;
	bytea	   *input;

	CHECK_FOR_INTERRUPTS();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(each_context);
	PG_TRY();
	{
		input = palloc(VARHDRSZ + size);
		SET_VARSIZE(input, VARHDRSZ + size);
		if (size > 0)
			memcpy(VARDATA(input), data, size);
		(void) FunctionCall1(&property, PointerGetDatum(input));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(each_context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!is_expected(error->sqlerrcode))
			report(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(outside);
	CurrentResourceOwner = owner;
	MemoryContextReset(each_context);
	return 0;
}

/* A text array as C strings, after room for one more */
static char **
read_texts(ArrayType *array, int *n)
{
	Datum	   *values;
	char	  **texts;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, n);
	texts = palloc0((*n + 2) * sizeof(char *));
	for (int i = 0; i < *n; i++)
		texts[i + 1] = TextDatumGetCString(values[i]);
	return texts;
}

/* kb_fuzz(property regprocedure, expected text[], log text, arguments text[]) */
PG_FUNCTION_INFO_V1(kb_fuzz);
Datum
kb_fuzz(PG_FUNCTION_ARGS)
{
	int			n;
	char	  **arguments;
	int			log = open(text_to_cstring(PG_GETARG_TEXT_PP(2)), O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		elog(ERROR, "cannot write the log: %m");
	fmgr_info_cxt(PG_GETARG_OID(0), &property, TopMemoryContext);
	expected = read_texts(PG_GETARG_ARRAYTYPE_P(1), &nexpected) + 1;
	arguments = read_texts(PG_GETARG_ARRAYTYPE_P(3), &n);
	arguments[0] = "kb_fuzz";
	n++;
	each_context = AllocSetContextCreate(TopMemoryContext, "an input", ALLOCSET_DEFAULT_SIZES);
	LLVMFuzzerRunDriver(&n, &arguments, try_input);
	PG_RETURN_VOID();
}

/* kb_receive(type regtype, input bytea) */
PG_FUNCTION_INFO_V1(kb_receive);
Datum
kb_receive(PG_FUNCTION_ARGS)
{
	Oid			type = PG_GETARG_OID(0);
	bytea	   *input = PG_GETARG_BYTEA_PP(1);
	Oid			receive;
	Oid			param;
	Oid			output;
	bool		is_varlena;
	Datum		value;
	StringInfoData buf;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, VARDATA_ANY(input), VARSIZE_ANY_EXHDR(input));
	getTypeBinaryInputInfo(type, &receive, &param);
	value = OidReceiveFunctionCall(receive, &buf, param, -1);
	if (buf.cursor != buf.len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("more bytes than the type has")));
	getTypeOutputInfo(type, &output, &is_varlena);
	PG_RETURN_TEXT_P(cstring_to_text(OidOutputFunctionCall(output, value)));
}

/* kb_send(type regtype, input text) */
PG_FUNCTION_INFO_V1(kb_send);
Datum
kb_send(PG_FUNCTION_ARGS)
{
	Oid			type = PG_GETARG_OID(0);
	Oid			input;
	Oid			param;
	Oid			send;
	bool		is_varlena;

	getTypeInputInfo(type, &input, &param);
	getTypeBinaryOutputInfo(type, &send, &is_varlena);
	PG_RETURN_BYTEA_P(OidSendFunctionCall(send, OidInputFunctionCall(input, text_to_cstring(PG_GETARG_TEXT_PP(1)), param, -1)));
}
