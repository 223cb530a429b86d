/*
 * How a signature is compared with the right one.
 */
import { timingSafeEqual } from 'node:crypto';

/** Whether two texts are the same, in a time that does not tell where they differ. */
export function same(a, b) {
	const [left, right] = [Buffer.from(String(a)), Buffer.from(String(b))];
	return left.length === right.length && timingSafeEqual(left, right);
}
