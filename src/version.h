/*
 * version.h
 *		Whether the objects in the database are those that the library was made for.
 */
#ifndef KBILLING_VERSION_H
#define KBILLING_VERSION_H

/*
 * 55000 unless the extension in this database has the library's version: between the installation of new files and ALTER
 * EXTENSION, or in a session that has begun before these.  What a restore of an older version fires does not ask.
 */
extern void version_require(void);

#endif
