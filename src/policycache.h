/*
 * policycache.h
 *		What the policy of a tariff says, kept for the session.
 */
#ifndef KBILLING_POLICYCACHE_H
#define KBILLING_POLICYCACHE_H

#include "postgres.h"
#include "access.h"

/* Columns of kbilling.policy that are asked for at each request. */
typedef struct TariffPolicy
{
	StageDays	days;
	bool		counts_logins_alone;	/* D1: its activity is "logins" */
} TariffPolicy;

/*
 * The policy of a tariff, a text, as the active snapshot sees both; false if it
 * does not see them.
 */
extern bool policy_of_tariff(Datum tariff, TariffPolicy *policy);

#endif
