// A line of tasks of which only a few run at once.

export class Lane {
  #running = 0;
  #holds = 0;
  #line = [];

  /** `width`: how many tasks run at once. */
  constructor(width) {
    this.width = width;
  }

  /** How many tasks have not started. */
  get waiting() {
    return this.#line.length;
  }

  /** Line up an async function; it must not reject. `place`: how many tasks go before it (default: all). */
  add(task, place = this.#line.length) {
    this.#line.splice(place, 0, task);
    this.#run();
  }

  /** Start nothing more until `promise` is settled. */
  async hold(promise) {
    this.#holds += 1;
    await promise;
    this.#holds -= 1;
    this.#run();
  }

  #run() {
    while (this.#holds === 0 && this.#running < this.width && this.#line.length > 0) {
      this.#running += 1;
      this.#line.shift()().finally(() => {
        this.#running -= 1;
        this.#run();
      });
    }
  }
}
