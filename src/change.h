/*
 * change.h
 *		Who makes a change.
 */
#ifndef KBILLING_CHANGE_H
#define KBILLING_CHANGE_H

#include "postgres.h"

/* The database role as the session sees it: the one that has logged in, or the one of SET ROLE */
extern const char *calling_role(void);

#endif
