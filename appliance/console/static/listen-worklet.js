// Plays stereo samples that come in pieces: a little is kept in hand so that what comes late is not missed. What piles
// up is played a little faster, and left out where it is much, so that it stays live.

const IN_HAND_S = 0.12;
const SPARE_S = 0.05; // the least that was in hand during a second, beyond which it is played faster
const MOST_S = 1;
const FASTER = 1.05;

class Listen extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate } }) {
    super();
    this.rate = rate;
    this.step = rate / sampleRate;
    this.pieces = [];
    this.waiting = 0; // samples
    this.at = 0; // in the first piece
    this.played = 0; // samples of the stream that are over, left out ones too
    this.runs = false;
    this.faster = 1;
    this.least = Infinity;
    this.watched = 0;
    this.sums = [0, 0];
    this.summed = 0;
    this.port.onmessage = ({ data }) => (data === "tell" ? this.tell() : this.take(data));
  }

  take(sides) {
    if (!sides[0].length) return;
    this.pieces.push(sides);
    this.waiting += sides[0].length;
    if (this.waiting > MOST_S * this.rate) this.skip(this.waiting - IN_HAND_S * this.rate);
  }

  tell() {
    const powers = this.sums.map((sum) => (this.summed ? sum / this.summed : 0));
    this.port.postMessage({ played: this.played, powers });
    this.sums = [0, 0];
    this.summed = 0;
  }

  skip(samples) {
    for (let left = samples; left > 0 && this.pieces.length;) {
      const here = Math.min(left, this.pieces[0][0].length - this.at);
      this.move(here);
      left -= here;
    }
  }

  move(samples) {
    this.at += samples;
    this.waiting -= samples;
    this.played += samples;
    while (this.pieces.length && this.at >= this.pieces[0][0].length) {
      this.at -= this.pieces[0][0].length;
      this.pieces.shift();
    }
  }

  sample(side) {
    const place = Math.floor(this.at);
    const here = this.pieces[0][side];
    const share = this.at - place;
    if (!share) return here[place];
    const next = place + 1 < here.length ? here[place + 1] : (this.pieces[1]?.[side][0] ?? here[place]);
    return here[place] * (1 - share) + next * share;
  }

  // The least that was in hand in a second was never needed.
  watch(seconds) {
    this.least = Math.min(this.least, this.waiting / this.rate);
    this.watched += seconds;
    if (this.watched < 1) return;
    this.faster = this.least > SPARE_S ? FASTER : 1;
    this.watched = 0;
    this.least = Infinity;
  }

  process(_, [output]) {
    this.runs = this.runs ? this.waiting >= 1 : this.waiting >= IN_HAND_S * this.rate;
    if (!this.runs) return true;
    for (let n = 0; n < output[0].length && this.pieces.length; n += 1) {
      for (const side of [0, 1]) {
        const value = this.sample(side);
        output[side][n] = value;
        this.sums[side] += value * value;
      }
      this.summed += 1;
      this.move(this.step * this.faster);
    }
    this.watch(output[0].length / sampleRate);
    return true;
  }
}

registerProcessor("listen", Listen);
