/*
 * Pictures of pages in few bytes: PNG with one byte a pixel, for the 256 colours that are most frequent. Pages have few;
 * what goes to its nearest is at the edges of letters.
 */
import { deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

const CRCS = Array.from({ length: 256 }, (_, n) => {
	for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
	return n;
});
const crcOf = bytes => ~bytes.reduce((crc, byte) => CRCS[(crc ^ byte) & 0xff] ^ (crc >>> 8), ~0) >>> 0;

function chunk(type, data) {
	const body = Buffer.concat([Buffer.from(type), data]);
	const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
	length.writeUInt32BE(data.length);
	crc.writeUInt32BE(crcOf(body));
	return Buffer.concat([length, body, crc]);
}

/** The header of a PNG, and its data, unpacked. */
function open(png) {
	const parts = [];
	for (let at = SIGNATURE.length; at < png.length; at += png.readUInt32BE(at) + 12) {
		if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
	}
	const header = png.subarray(16, 29);
	const size = { 2: 3, 6: 4 }[header[9]];
	if (header[8] !== 8 || size === undefined || header[12] !== 0) throw new Error('this is no PNG as browsers write it');
	return { width: header.readUInt32BE(0), height: header.readUInt32BE(4), size, data: inflateSync(Buffer.concat(parts)) };
}

/** Of the three bytes before a byte, that which the filter "Paeth" adds. */
function paeth(left, up, corner) {
	const [toLeft, toUp, toCorner] = [up - corner, left - corner, left + up - 2 * corner].map(Math.abs);
	return toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner;
}

/** The pixels of a PNG, as numbers 0xRRGGBB. */
function pixelsOf({ width, height, size, data }) {
	const line = width * size;
	const bytes = Buffer.alloc(line * height);
	const pixels = new Uint32Array(width * height);
	for (let at = 0; at < bytes.length; at++) {
		const [row, column] = [Math.floor(at / line), at % line];
		const left = column < size ? 0 : bytes[at - size];
		const up = row === 0 ? 0 : bytes[at - line];
		const corner = row === 0 || column < size ? 0 : bytes[at - line - size];
		const added = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][data[row * (line + 1)]];
		bytes[at] = data[row * (line + 1) + 1 + column] + added;
	}
	for (let n = 0; n < pixels.length; n++) pixels[n] = bytes.readUIntBE(n * size, 3);
	return pixels;
}

const distance = (a, b) => [16, 8, 0].reduce((sum, shift) => sum + (((a >> shift) & 255) - ((b >> shift) & 255)) ** 2, 0);

/** For each colour, its place in the palette. */
function paletteOf(pixels) {
	const counts = new Map();
	for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
	const colours = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a - b);
	const palette = colours.slice(0, 256);
	const nearest = colour => palette.reduce((best, one, n) => (distance(one, colour) < distance(palette[best], colour) ? n : best), 0);
	return { palette, places: new Map(colours.map((colour, n) => [colour, n < 256 ? n : nearest(colour)])) };
}

/** The same picture in fewer bytes. @param {Buffer} png as a browser writes it */
export function smaller(png) {
	const { width, height, ...rest } = open(png);
	const pixels = pixelsOf({ width, height, ...rest });
	const { palette, places } = paletteOf(pixels);
	const lines = Buffer.alloc((width + 1) * height);
	pixels.forEach((pixel, n) => (lines[n + Math.floor(n / width) + 1] = places.get(pixel)));
	const header = Buffer.alloc(13);
	header.writeUInt32BE(width, 0);
	header.writeUInt32BE(height, 4);
	header.set([8, 3], 8);
	const colours = Buffer.alloc(palette.length * 3);
	palette.forEach((colour, n) => colours.writeUIntBE(colour, n * 3, 3));
	return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('PLTE', colours),
		chunk('IDAT', deflateSync(lines, { level: 9 })), chunk('IEND', Buffer.alloc(0))]);
}
