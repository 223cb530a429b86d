/*
 * access.c
 *		Stages of a debt: pure functions of dates and the policy's days.
 */
#include "postgres.h"

#include "access.h"
#include "enumvalue.h"
#include "fmgr.h"
#include "utils/builtins.h"

/* The values of the policy "standard" (S2). */
static const StageDays standard_days = {4, 7, 10};

static EnumType stage_type = {.name = "stage", .labels = {"ok", "grace", "remind", "restrict", "blocked"}};

static EnumType access_type = {
	.name = "access", .labels = {"full", "full_with_reminder", "payment_only", "denied"}
};

static EnumType role_type = {.name = "role", .labels = {"employee", "admin", "owner"}};

const char *
stage_label(Stage stage)
{
	return stage_type.labels[stage];
}

/* S2: the first day of a debt is day 1 */
Stage
stage_of_debt(OptionalDate debt_since, DateADT today, const StageDays *days)
{
	int64		n;

	if (!debt_since.exists)
		return STAGE_OK;
	n = (int64) today - debt_since.date + 1;
	if (n < 1)
		return STAGE_OK;
	if (n >= days->block_day)
		return STAGE_BLOCKED;
	if (n >= days->restrict_day)
		return STAGE_RESTRICT;
	if (n >= days->remind_day)
		return STAGE_REMIND;
	return STAGE_GRACE;
}

/* S4: until its end a deferral holds the stage at grace */
Stage
stage_with_deferral(OptionalDate debt_since, OptionalDate deferred_until,
					DateADT today, const StageDays *days)
{
	Stage		stage = stage_of_debt(debt_since, today, days);

	if (deferred_until.exists && today <= deferred_until.date)
		return Min(stage, STAGE_GRACE);
	return stage;
}

/*
 * The next day on which the stage differs from today's, if nothing is paid.  It
 * can only change where a stage of S2 begins or a deferral ends.
 */
OptionalDate
stage_next_change(OptionalDate debt_since, OptionalDate deferred_until,
				  DateADT today, const StageDays *days)
{
	Stage		stage = stage_with_deferral(debt_since, deferred_until, today, days);
	OptionalDate next = no_date();
	int64		candidates[5];

	if (!debt_since.exists || DATE_NOT_FINITE(debt_since.date))
		return next;
	candidates[0] = debt_since.date;
	candidates[1] = (int64) debt_since.date + days->remind_day - 1;
	candidates[2] = (int64) debt_since.date + days->restrict_day - 1;
	candidates[3] = (int64) debt_since.date + days->block_day - 1;
	candidates[4] = deferred_until.exists ? (int64) deferred_until.date + 1 : today;

	for (int i = 0; i < 5; i++)
	{
		int64		day = candidates[i];

		if (day > today && IS_VALID_DATE(day) && (!next.exists || day < next.date) &&
			stage_with_deferral(debt_since, deferred_until, (DateADT) day, days) != stage)
			next = optional_date((DateADT) day);
	}
	return next;
}

Access
access_for(Stage stage, Role role, bool is_deleted, bool is_ended)
{
	if (is_deleted || stage == STAGE_BLOCKED)
		return ACCESS_DENIED;
	if (role == ROLE_EMPLOYEE)
		return is_ended ? ACCESS_DENIED : ACCESS_FULL;
	if (is_ended || stage == STAGE_RESTRICT)
		return ACCESS_PAYMENT_ONLY;
	return stage == STAGE_REMIND ? ACCESS_FULL_WITH_REMINDER : ACCESS_FULL;
}

Datum
stage_value(Stage stage)
{
	return enum_value(&stage_type, stage);
}

Datum
access_value(Access access)
{
	return enum_value(&access_type, access);
}

Role
role_of_value(Datum value)
{
	return enum_label_no(&role_type, value);
}

bool
stage_days_args(FunctionCallInfo fcinfo, int n, StageDays *days)
{
	if (PG_ARGISNULL(n) || PG_ARGISNULL(n + 1) || PG_ARGISNULL(n + 2))
		return false;
	days->remind_day = PG_GETARG_INT32(n);
	days->restrict_day = PG_GETARG_INT32(n + 1);
	days->block_day = PG_GETARG_INT32(n + 2);
	return true;
}

/* kb_access_stage(debt_since, today): by the policy "standard" */
PG_FUNCTION_INFO_V1(kb_access_stage);
Datum
kb_access_stage(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	return stage_value(stage_of_debt(arg_date(fcinfo, 0), PG_GETARG_DATEADT(1), &standard_days));
}

/* kb_standard_day(stage): the first day of a stage by the policy "standard" */
PG_FUNCTION_INFO_V1(kb_standard_day);
Datum
kb_standard_day(PG_FUNCTION_ARGS)
{
	const char *stage = DatumGetCString(DirectFunctionCall1(enum_out, PG_GETARG_DATUM(0)));
	const int	first_days[NUM_STAGES] = {[STAGE_GRACE] = 1,[STAGE_REMIND] = standard_days.remind_day,
		[STAGE_RESTRICT] = standard_days.restrict_day,[STAGE_BLOCKED] = standard_days.block_day
	};

	for (int i = STAGE_GRACE; i < NUM_STAGES; i++)
		if (strcmp(stage, stage_type.labels[i]) == 0)
			PG_RETURN_INT32(first_days[i]);
	PG_RETURN_NULL();
}

/* kb_stage(debt_since, deferred_until, today, remind_day, restrict_day, block_day) */
PG_FUNCTION_INFO_V1(kb_stage);
Datum
kb_stage(PG_FUNCTION_ARGS)
{
	StageDays	days;

	if (PG_ARGISNULL(2) || !stage_days_args(fcinfo, 3, &days))
		PG_RETURN_NULL();
	return stage_value(stage_with_deferral(arg_date(fcinfo, 0), arg_date(fcinfo, 1), PG_GETARG_DATEADT(2), &days));
}

/* kb_next_stage_on(debt_since, deferred_until, today, remind_day, restrict_day, block_day) */
PG_FUNCTION_INFO_V1(kb_next_stage_on);
Datum
kb_next_stage_on(PG_FUNCTION_ARGS)
{
	StageDays	days;

	if (PG_ARGISNULL(2) || !stage_days_args(fcinfo, 3, &days))
		PG_RETURN_NULL();
	PG_RETURN_OPTIONAL_DATE(stage_next_change(arg_date(fcinfo, 0), arg_date(fcinfo, 1),
											  PG_GETARG_DATEADT(2), &days));
}
