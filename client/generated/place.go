// Places an order through the client that openapi-generator made: go run . URL
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"example/generated"
)

func main() {
	configuration := generated.NewConfiguration()
	configuration.Servers = generated.ServerConfigurations{{URL: os.Args[1]}}
	orders := generated.NewAPIClient(configuration).OrdersAPI
	key := "go-" + strconv.FormatInt(time.Now().UnixNano(), 10)
	place := func(quantity int64) (*generated.OrderAnswer, *http.Response, error) {
		request := generated.NewOrderRequest()
		request.SetUserId(1)
		request.SetItems([]generated.OrderLineRequest{*generated.NewOrderLineRequest(1, quantity)})
		return orders.PlaceOrder(context.Background()).IdempotencyKey(key).OrderRequest(*request).Execute()
	}

	placed, answer, err := place(1)
	if err != nil || answer.StatusCode != http.StatusCreated || placed.Data.TotalAmount == "" {
		log.Fatal("not placed: ", err, answer)
	}
	again, answer, err := place(1)
	if err != nil || answer.StatusCode != http.StatusOK || again.Data.Id != placed.Data.Id {
		log.Fatal("not the same order: ", err, answer)
	}

	key += "-much"
	_, answer, err = place(1_000_000)
	var refused *generated.GenericOpenAPIError
	if !errors.As(err, &refused) || answer.StatusCode != http.StatusConflict {
		log.Fatal("not refused: ", err, answer)
	}
	problem, ok := refused.Model().(generated.Problem)
	if !ok || problem.Error != "insufficient_stock" || problem.Outcome != generated.OUTCOME_REJECTED {
		log.Fatalf("not a problem: %+v", refused.Model())
	}
	fmt.Printf("{\"order\": %d}\n", placed.Data.Id)
}
