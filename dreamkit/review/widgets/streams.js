// Every view is a sequence of JPEG frames (PNG for the labels' lines), decoded on demand.

const KEPT_BITMAPS = 32; // per stream

// The JPEG frames of one view; keeps the KEPT_BITMAPS used last.
class Stream {
  constructor(content, buffer) {
    this.key = content.key; // of the video
    this.layer = content.layer;
    this.fps = content.fps;
    this.problem = content.problem;
    this.bytes = buffer ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength) : new Uint8Array();
    this.starts = [];
    this.sizes = content.sizes;
    let start = 0;
    for (const size of content.sizes) { this.starts.push(start); start += size; }
    this.bitmaps = new Map();
  }
  get length() { return this.sizes.length; }
  bitmap(frame) {
    const index = Math.min(frame, this.length - 1);
    if (index < 0) return Promise.resolve(null);
    if (!this.bitmaps.has(index)) {
      const start = this.starts[index];
      const data = this.bytes.slice(start, start + this.sizes[index]);
      this.bitmaps.set(index, createImageBitmap(new Blob([data], { type: this.layer === "labels" ? "image/png" : "image/jpeg" })).catch(() => null));
      while (this.bitmaps.size > KEPT_BITMAPS) {
        const oldest = this.bitmaps.keys().next().value;
        this.bitmaps.get(oldest).then((bitmap) => bitmap && bitmap.close());
        this.bitmaps.delete(oldest);
      }
    } else { // used again: move it to the end of the map
      const kept = this.bitmaps.get(index);
      this.bitmaps.delete(index);
      this.bitmaps.set(index, kept);
    }
    return this.bitmaps.get(index);
  }
}

