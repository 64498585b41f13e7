// Counts words.
export function map(_, line, emit) {
    for (const word of line.split(/\s+/)) {
        if (word) emit(word, 1);
    }
}

export function reduce(word, counts, emit) {
    let sum = 0;
    for (const count of counts) sum += Number(count);
    emit(word, sum);
}

export const combine = reduce;
