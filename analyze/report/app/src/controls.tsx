// Controls that several parts of the page use.
import { words } from "./words";

type Choice = [value: string | number, text: string];

interface SelectProps {
  id: string;
  label: string; // the name of its text
  value: string | number;
  choices: Choice[];
  onChoose: (value: string) => void;
}

export function Select({ id, label, value, choices, onChoose }: SelectProps) {
  return (
    <label for={id}>
      {words[label]}{" "}
      <select id={id} value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {choices.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Link({ text, onClick }: { text: string; onClick: () => void }) {
  return (
    <button type="button" class="link" onClick={onClick}>
      {text}
    </button>
  );
}
