package bench;

import com.fasterxml.jackson.annotation.JsonProperty;

/** An event on its way, with the features found so far. */
public final class Transaction {
    @JsonProperty("TRANSACTION_ID") public long transactionId;
    @JsonProperty("TX_DATETIME") public String at;
    @JsonProperty("CUSTOMER_ID") public long customerId;
    @JsonProperty("TERMINAL_ID") public long terminalId;
    @JsonProperty("TX_AMOUNT") public double amount;
    @JsonProperty("count_1h") public int countHour;
    @JsonProperty("sum_1h") public double sumHour;
    @JsonProperty("count_1d") public int countDay;
    @JsonProperty("sum_1d") public double sumDay;
    @JsonProperty("terminal_count_1d") public int terminalCountDay;
    @JsonProperty("flagged") public boolean flagged;
}
