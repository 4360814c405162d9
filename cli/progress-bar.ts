// How far a long piece of work is: a bar where somebody looks on, a line now and then elsewhere.
const WIDTH = 30;
/** Elsewhere than on a terminal. */
const STEP_PERCENT = 10;

export interface ProgressBar {
  show(done: number, total: number): void;
  end(): void;
}

export function progressBar(out: NodeJS.WriteStream): ProgressBar {
  let told = -1;
  return {
    show: (done, total) => {
      const percent = total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
      if (out.isTTY) {
        const filled = Math.round((percent / 100) * WIDTH);
        out.write(`\r[${'#'.repeat(filled).padEnd(WIDTH)}] ${percent} %`);
      } else if (percent >= told + STEP_PERCENT) out.write(`${percent} %\n`);
      else return;
      told = percent;
    },
    end: () => {
      if (out.isTTY && told >= 0) out.write('\n');
    },
  };
}
