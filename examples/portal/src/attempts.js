/*
 * How often something may be tried. It is counted in this process: several that share the work count for themselves.
 */

/**
 * At most `limit` tries by a key in so many seconds. `take` counts one, and returns the seconds to wait, or 0.
 * @param {{limit: number, seconds: number, keys?: number, now?: () => number}} options
 */
export function attempts({ limit, seconds, keys = 10000, now = Date.now }) {
	const windows = new Map();

	// The oldest windows go first, as a Map keeps the order in which they were begun.
	function forget(at) {
		for (const [key, { ends }] of windows) {
			if (ends > at && windows.size < keys) break;
			windows.delete(key);
		}
	}

	function windowOf(key) {
		const at = now();
		const found = windows.get(key);
		if (found && found.ends > at) return found;
		windows.delete(key);
		forget(at);
		const begun = { count: 0, ends: at + seconds * 1000 };
		windows.set(key, begun);
		return begun;
	}

	const wait = ({ count, ends }) => (count > limit ? Math.ceil((ends - now()) / 1000) : 0);

	return {
		take(key) {
			const window = windowOf(key);
			window.count++;
			return wait(window);
		},

		/** One that came to nothing does not count. */
		giveBack(key) {
			const window = windowOf(key);
			if (window.count > 0) window.count--;
		},
	};
}
